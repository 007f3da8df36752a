"""The ingest step: obtains the data files from the first source that has them."""
