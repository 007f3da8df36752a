"""The command `fashion`: a module for each group of commands."""
