//! The typed contract between inside and outside, and the verifier of answers.
