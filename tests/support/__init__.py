"""What tests share: small models, logs, runs and servables, and the equations once more in NumPy."""
