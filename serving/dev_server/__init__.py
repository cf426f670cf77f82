"""A server for development that speaks TF Serving's gRPC interface."""
