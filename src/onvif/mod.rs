//! The operation catalogue, and how a document becomes a command. Whether it is allowed is not decided here.
