"""What people read: results as tables of the terminal. Nothing here trains or imports torch."""
