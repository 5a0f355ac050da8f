"""From numbers to judgement: pure functions of arrays, without torch."""
