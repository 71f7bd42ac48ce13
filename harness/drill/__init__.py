"""Game days: scenarios with people in them, led, recorded, compiled, replayed, compared, reported."""
