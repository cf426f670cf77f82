"""From transformed Examples to model batches."""
