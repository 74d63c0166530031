//! The state database (SQLite): locators, observed identity, pins, clock offsets. What the rows mean is not its business.
