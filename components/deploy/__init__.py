"""Rolls the Deployment that serves the champion to a new one."""
