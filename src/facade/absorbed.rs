//! The answer to a write that was denied and is absorbed all the same.

use crate::schema::{Builder, Document, OperationId, Tables};

/// An empty success; none for an operation whose answer has to say something.
pub fn empty_success(tables: &Tables, operation: OperationId) -> Option<Document> {
    let root = tables.operation(operation)?.output?;
    Builder::new(tables, root).finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_may_be_empty_is_one() {
        let tables = Tables::embedded().unwrap();
        for (name, empty) in
            [("tds:SetNTP", true), ("tr2:SetVideoEncoderConfiguration", true), ("trt:CreateProfile", false)]
        {
            let id = tables.operation_by_name(name).unwrap();
            assert_eq!(empty_success(&tables, id).is_some(), empty, "{name}");
        }
    }
}
