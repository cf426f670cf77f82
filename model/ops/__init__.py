"""What is hand-written for speed or exactness; each module says what it saves and which test proves it."""
