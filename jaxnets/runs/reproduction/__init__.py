"""Reproducing a document: what it states, what runs say of it, which of them are missing, what becomes of its claims."""
