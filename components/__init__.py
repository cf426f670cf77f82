"""The TFX components: raw logs in, servable out."""
