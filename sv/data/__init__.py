"""From corpus folders to crops: manifests, audio, arrays, views and batches."""
