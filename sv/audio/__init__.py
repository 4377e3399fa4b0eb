"""Audio files and waveforms: reading, problems, channels, generated noise and rooms."""
