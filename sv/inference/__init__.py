"""Trained models in use: embeddings, model directories, export, separation."""
