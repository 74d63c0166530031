//! What goes wrong on a command's way, and the one place that decides what the peer is told.
//!
//! Outward goes a stable code and a sentence of ours; the cause goes to the record.

use std::fmt;

use crate::{
    camera::{CameraError, Failure},
    facade::{AskError, LocatorError, RewriteRefusal},
    gate::{Disposal, Ended, OverBudget, Refusal},
    hatch::{self, VerifyError},
    onvif::CommandError,
    schema::{BuildError, RewriteError},
    soap::{Fault, FaultCode, Subcode},
};

/// Why a command was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The gate gave no pass.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The request names too much.
    #[error("{0}")]
    Command(#[from] CommandError),
    /// An address that may not cross.
    #[error("{0}")]
    Verify(#[from] VerifyError),
    /// An address that cannot be rewritten.
    #[error("{0}")]
    Rewrite(#[from] RewriteRefusal),
    /// The camera could not be asked.
    #[error("{0}")]
    Camera(#[from] CameraError),
    /// The camera answered with a fault, cleaned.
    #[error("the camera answered {0}")]
    Fault(Fault),
    /// The facade answered with a fault of its own.
    #[error("{0}")]
    Own(Fault),
    /// The camera was not heard to offer the service.
    #[error("the camera offers no such service")]
    NoEndpoint,
    /// The camera did not say what it is a moment ago and is not asked again yet.
    #[error("the camera could not be asked for its services a moment ago")]
    NotIntroduced,
    /// The camera names a port of its host at which another camera or the gateway itself answers.
    #[error("the camera names a port that is another device's")]
    ForeignPort,
    /// The camera did not give it a moment ago, and is not asked again yet.
    #[error("{0}, a moment ago; it is not asked again yet")]
    Earlier(Earlier),
    /// The camera was asked for its latest picture a moment ago, and there was no room to keep it.
    #[error("the camera gave a picture a moment ago, which could not be kept; it is not asked again yet")]
    NotKept,
    /// Too many commands for this camera are under way.
    #[error("too many commands for this camera are under way")]
    Busy,
    /// One client has its share of these.
    #[error("the client has as many commands for this camera under way as one may have")]
    Share,
    /// The camera left several commands without an answer, and as many as may wait for it do.
    #[error("the camera does not answer, and others wait for it already")]
    Silent,
    /// Too many commands of this caller are under way.
    #[error("{0}")]
    OverBudget(#[from] OverBudget),
    /// An answer of the gateway's own does not fit the interface tables.
    #[error("an answer of the gateway's own does not fit: {0}")]
    Build(#[from] BuildError),
    /// A rewritten document does not fit.
    #[error("a rewritten message does not fit: {0}")]
    Edit(#[from] RewriteError),
    /// A request of the gateway's own does not fit the interface tables.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// A locator could not be read.
    #[error("{0}")]
    Locator(#[from] LocatorError),
    /// The pass was not for what was to be asked.
    #[error("{0}")]
    Pass(#[from] hatch::AskError),
    /// The task that held the pass ended without an answer.
    #[error("the exchange was given up")]
    Lost,
}

/// What went wrong at a camera a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    fault: Fault,
    words: String,
}

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Trouble {
    /// The same for who asks in the next moment, if it is the camera whose doing it is.
    pub(super) fn of_camera(&self) -> Option<Earlier> {
        self.is_of_camera().then(|| Earlier { fault: self.fault(), words: self.to_string() })
    }

    /// Whether it is the camera whose doing it is.
    pub(super) fn is_of_camera(&self) -> bool {
        match self {
            Self::Camera(error) => error.is_of_camera(),
            Self::Fault(_) | Self::NoEndpoint | Self::ForeignPort => true,
            Self::Verify(_) | Self::Rewrite(_) => self.refuses_answer(),
            _ => false,
        }
    }

    /// What the peer is told.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused(refusal) => refused(refusal),
            Self::Command(CommandError::NoOperation) => Fault::unknown_action("no such operation"),
            Self::Command(error @ CommandError::TooManyDestinations) => {
                Fault::invalid_argument_value(error.to_string())
            }
            Self::Verify(error @ VerifyError::CoreAddress(_)) => {
                Fault::invalid_argument_value(error.to_string())
            }
            Self::Rewrite(refusal) => refusal.fault(),
            Self::Verify(VerifyError::OtherOperation(_)) => {
                Fault::action_failed("the camera answered something else")
            }
            Self::Verify(VerifyError::CameraAddress(_)) => {
                Fault::action_failed("the camera's answer was refused: it names addresses that may not cross")
            }
            // What it answered instead is a name of the camera's choice: for the record only.
            Self::Camera(CameraError { failure: Failure::WrongAnswer(_), .. }) => {
                Fault::action_failed("the camera answered something else")
            }
            Self::Camera(error) => Fault::action_failed(error.to_string()),
            Self::Fault(fault) => of_camera(fault),
            Self::Own(fault) => fault.clone(),
            Self::NoEndpoint => Fault {
                subcodes: vec![Subcode::ActionNotSupported, Subcode::NoSuchService],
                ..Fault::action_not_supported("the camera offers no such service")
            },
            Self::Earlier(earlier) => earlier.fault.clone(),
            Self::NotIntroduced | Self::ForeignPort | Self::Silent | Self::NotKept => {
                Fault::action_failed(self.to_string())
            }
            Self::OverBudget(_) => {
                Fault::action_failed("too many commands of this client are under way; try again")
            }
            Self::Share => Fault::action_failed(
                "too many commands of this client for this camera are under way; try again",
            ),
            Self::Busy => Fault::action_failed("too many commands for this camera are under way; try again"),
            Self::Build(_) | Self::Edit(_) | Self::Ask(_) | Self::Locator(_) | Self::Pass(_) | Self::Lost => {
                Fault::action_failed("the gateway could not carry this out; its log says why")
            }
        }
    }

    /// Whether nothing came from the camera: it will not answer the next question either.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Camera(error) if error.is_silence())
    }

    /// Whether it was the camera's answer that was refused.
    pub fn refuses_answer(&self) -> bool {
        match self {
            Self::Verify(VerifyError::OtherOperation(_) | VerifyError::CameraAddress(_)) => true,
            Self::Rewrite(_) => true,
            Self::Camera(error) => matches!(
                error.failure,
                Failure::NotHttp(_)
                    | Failure::NotSoap(_)
                    | Failure::Empty
                    | Failure::TooLarge(_)
                    | Failure::Flooding
                    | Failure::WrongAnswer(_)
                    | Failure::Malformed(_)
                    | Failure::Redirected
                    | Failure::BadStatus(_)
                    | Failure::NotPicture
            ),
            _ => false,
        }
    }

    /// The outcome record.
    pub fn ended(&self) -> Ended {
        let fault = self.fault();
        let disposal = match self {
            Self::Fault(_) | Self::Own(_) => Disposal::Answered,
            _ => Disposal::Failed,
        };
        Ended {
            disposal,
            status: Some(status(&fault)),
            fault: Some(fault.codes()),
            deviations: Vec::new(),
            bytes: 0,
            note: Some(self.to_string()),
        }
    }
}

/// The HTTP status a fault travels with (SOAP 1.2 part 2 §7.5.2.2).
pub fn status(fault: &Fault) -> u16 {
    match fault.code {
        FaultCode::Sender => 400,
        FaultCode::Receiver
        | FaultCode::VersionMismatch
        | FaultCode::MustUnderstand
        | FaultCode::DataEncodingUnknown => 500,
    }
}

fn refused(refusal: &Refusal) -> Fault {
    match refusal {
        Refusal::Unauthenticated => Fault::not_authorized("Sender not authorized"),
        Refusal::NotAuthorized => Fault::not_authorized("the client's role does not permit this operation"),
        Refusal::Forbidden => {
            Fault::operation_prohibited("an isolation rule of the gateway forbids this operation")
        }
        Refusal::Users => Fault::operation_prohibited("users and passwords of cameras are managed in Cordon"),
        Refusal::NotIsolated => Fault::operation_prohibited(
            "the network isolation of the camera's zone is not in force, and restricted cameras are not served meanwhile",
        ),
        // Told as a success, where one can be told.
        Refusal::Absorbed => Fault::operation_prohibited("the operation is not passed on to the camera"),
        Refusal::NotSupported => Fault::action_not_supported("the operation is not supported"),
        Refusal::Noise => Fault::not_authorized("too many requests without valid credentials"),
        Refusal::Unrecordable(_) => {
            Fault::action_failed("the gateway cannot record commands at the moment and so passes none")
        }
    }
}

/// A camera's fault, as the client may take it: that the camera refuses the *gateway* must not look as if the
/// client's own password were wrong.
fn of_camera(fault: &Fault) -> Fault {
    if fault.subcodes.contains(&Subcode::NotAuthorized) {
        return Fault::action_failed("the camera does not permit this to the gateway's user");
    }
    fault.clone()
}
