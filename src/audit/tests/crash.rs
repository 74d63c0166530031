//! Failures of the disk.
