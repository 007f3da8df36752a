"""The ingest step: brings the data files, from the first source that has them. The function is in `step`."""
