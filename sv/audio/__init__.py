"""Audio files and waveforms: reading, problems, recording channels, generated noise and rooms."""
