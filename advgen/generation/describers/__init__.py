"""Describers: mined words in, sentences out."""
