//! Decide, record, hand out the pass.
