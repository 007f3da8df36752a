"""Measurements, each behind a target of the Makefile."""

from pipeline.process import settle_process

settle_process()  # before anything is imported that asks for a home
