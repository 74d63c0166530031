//! What the gateway itself asks cameras.

use crate::schema::{BuildError, Builder, Document, OperationId, Tables};

/// A request of the gateway's own, with its operation.
#[derive(Debug)]
pub struct OwnRequest {
    /// The operation.
    pub operation: OperationId,
    /// Its request.
    pub document: Document,
}

/// `tds:GetSystemDateAndTime`: how far the camera's clock is off.
pub fn system_date_and_time(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetSystemDateAndTime", &[])
}

/// `tds:GetServices` with capabilities: what the camera offers and where.
pub fn services(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetServices", &[("IncludeCapability", "true")])
}

/// `tds:GetCapabilities` of every category: the same from cameras before ONVIF 2.1.
pub fn capabilities(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetCapabilities", &[("Category", "All")])
}

/// `tds:GetDeviceInformation`: who the camera says it is.
pub fn device_information(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetDeviceInformation", &[])
}

/// `tds:GetScopes`: which profiles the camera claims.
pub fn scopes(tables: &Tables) -> Result<OwnRequest, AskError> {
    ask(tables, "tds:GetScopes", &[])
}

/// The tables do not hold what the gateway needs to ask.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No such operation.
    #[error(
        "the interface tables hold no operation `{0}`; was a folder given in place of the built-in ones?"
    )]
    NoOperation(&'static str),
    /// The operation has other parameters.
    #[error("the request `{0}` does not fit the interface tables")]
    Build(&'static str, #[source] BuildError),
}

pub(super) fn ask(
    tables: &Tables,
    name: &'static str,
    leaves: &[(&'static str, &'static str)],
) -> Result<OwnRequest, AskError> {
    let operation = tables.operation_by_name(name).ok_or(AskError::NoOperation(name))?;
    let input = tables.operation(operation).ok_or(AskError::NoOperation(name))?.input;
    let build = || {
        let mut request = Builder::new(tables, input);
        for (local, text) in leaves {
            request.leaf(local, text)?;
        }
        request.finish()
    };
    let document = build().map_err(|error| AskError::Build(name, error))?;
    Ok(OwnRequest { operation, document })
}
