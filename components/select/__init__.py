"""Selection: the best of several trained models, by validation accuracy."""
