"""The engine that Beam's steps run on: this process, or a cluster that speaks Beam's job API."""
