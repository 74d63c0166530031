//! The administrative listener: health and readiness.
