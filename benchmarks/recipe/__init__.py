"""Trials of one recipe for the resnet models against another, on held-out images."""
