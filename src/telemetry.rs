//! Logging: what is set up once, and the names of what is counted.
