//! Who calls: WS-Security and HTTP digest credentials become a caller.
