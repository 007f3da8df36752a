"""Promoters at the same moment: is the best version champion, on a real MLflow server?"""
