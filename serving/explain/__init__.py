"""Reasons of a score."""
