//! The virtual device: answers of its own, locators, rewriting.
