//! The outside: the connection to one camera.
