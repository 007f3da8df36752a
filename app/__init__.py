"""The web app: the champion, by hand."""
