"""`fashion doctor`: whether all that a run on a cluster needs is there."""
