"""Raw search and recommendation logs in, timelines and ranking requests out."""
