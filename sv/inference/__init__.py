"""Using trained models: embeddings, model directories, export, separation."""
