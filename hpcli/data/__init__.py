"""Data sets as uint8 images and labels (`dataset`), and batches of them on a device (`loader`, `augment`)."""
