//! What is asked of a recording (ONVIF Streaming Specification §6): the fields of PLAY as values.
//!
//! Whatever a client writes, the camera is asked in these words only.

use std::fmt;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::message::{Field, Fields, Status};

/// The feature that whoever plays recordings back requires (§6.2).
pub const REPLAY_FEATURE: &str = "onvif-replay";

/// How a recording is to be played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Playback {
    /// Which part; none for the rest, or from the beginning.
    pub range: Option<Range>,
    /// Whether the camera sends at the pace of the recording; none means yes.
    pub rate_control: Option<bool>,
    /// How much faster than recorded, backwards if negative.
    pub scale: Option<Rate>,
    /// How much faster than `scale` says it is sent.
    pub speed: Option<Rate>,
    /// Which pictures.
    pub frames: Option<Frames>,
    /// Whether what is on its way is given up for it.
    pub immediate: Option<bool>,
}

/// A part of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// From its beginning, as players write that know of no clock.
    Beginning,
    /// From one moment, perhaps to another: to an earlier one when it is played backwards.
    Clock {
        /// Where it begins.
        from: Timestamp,
        /// Where it ends, if it does before the recording.
        to: Option<Timestamp>,
    },
}

/// A rate in thousandths; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(i32);

/// Which pictures are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// Those that stand for themselves, at least so many milliseconds from each other.
    Intra(Option<u32>),
    /// These and those that are predicted from earlier ones.
    Predicted,
    /// All.
    All,
}

/// Why a recording is not played as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaybackError {
    /// A field does not say what it may.
    #[error("the value of `{0}` is none that is known")]
    Malformed(&'static str),
    /// The part is not given by the clock.
    #[error("a part of a recording is asked for otherwise than by the clock")]
    Range,
}

impl PlaybackError {
    /// What whoever asks is told.
    pub fn status(self) -> Status {
        match self {
            Self::Malformed(_) => Status::BadRequest,
            Self::Range => Status::InvalidRange,
        }
    }
}

impl Playback {
    /// What the fields of a client's PLAY ask for.
    pub fn of(fields: &Fields) -> Result<Self, PlaybackError> {
        Ok(Self {
            range: fields.get(Field::Range).map(Range::parse).transpose()?,
            rate_control: value(fields, Field::RateControl, yes_or_no)?,
            scale: value(fields, Field::Scale, Rate::parse)?,
            speed: value(fields, Field::Speed, |text| Rate::parse(text).filter(|it| it.0 > 0))?,
            frames: value(fields, Field::Frames, Frames::parse)?,
            immediate: value(fields, Field::Immediate, yes_or_no)?,
        })
    }

    /// Whether the camera sends as fast as it is taken, and nothing may be lost on the way.
    pub fn is_pulled(&self) -> bool {
        self.rate_control == Some(false)
    }

    /// The same for a camera.
    pub fn fields(&self) -> Vec<(Field, String)> {
        let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let fields = [
            (Field::Range, self.range.map(|it| it.to_string())),
            (Field::RateControl, self.rate_control.map(word)),
            (Field::Scale, self.scale.map(|it| it.to_string())),
            (Field::Speed, self.speed.map(|it| it.to_string())),
            (Field::Frames, self.frames.map(|it| it.to_string())),
            (Field::Immediate, self.immediate.map(word)),
        ];
        fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
    }
}

fn value<T>(
    fields: &Fields,
    field: Field,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, PlaybackError> {
    let Some(text) = fields.get(field) else { return Ok(None) };
    parse(text.trim()).map(Some).ok_or(PlaybackError::Malformed(field.as_str()))
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

impl Range {
    /// `clock=20261126T050000.5Z-`, with another moment behind it or without.
    pub fn parse(text: &str) -> Result<Self, PlaybackError> {
        let malformed = PlaybackError::Malformed(Field::Range.as_str());
        let (unit, value) = text.trim().split_once('=').ok_or(malformed)?;
        match (unit.trim(), value.trim()) {
            ("clock", value) => {
                let (from, to) = value.split_once('-').ok_or(malformed)?;
                let to = Some(to.trim()).filter(|it| !it.is_empty());
                Ok(Self::Clock {
                    from: moment(from.trim()).ok_or(malformed)?,
                    to: to.map(|it| moment(it).ok_or(malformed)).transpose()?,
                })
            }
            ("npt", "0-" | "0.0-" | "0.000-" | "now-") => Ok(Self::Beginning),
            _ => Err(PlaybackError::Range),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORM: &str = "%Y%m%dT%H%M%S%.fZ";
        match self {
            Self::Beginning => f.write_str("npt=0.000-"),
            Self::Clock { from, to } => {
                write!(f, "clock={}-", from.strftime(FORM))?;
                to.map_or(Ok(()), |to| write!(f, "{}", to.strftime(FORM)))
            }
        }
    }
}

/// A moment in ISO 8601's basic form, in UTC (RFC 2326 §3.7).
fn moment(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, part)| (time, Some(part)));
    let digits = |text: &str, length: usize| {
        (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let (date, time): (u32, u32) = (digits(date, 8)?, digits(time, 6)?);
    let nanoseconds = match fraction {
        None => 0,
        Some(part) if (1..=9).contains(&part.len()) => digits(&format!("{part:0<9}"), 9)?,
        Some(_) => return None,
    };
    let small = |number: u32| i8::try_from(number % 100).ok();
    let civil = DateTime::new(
        i16::try_from(date / 10_000).ok()?,
        small(date / 100)?,
        small(date)?,
        small(time / 10_000)?,
        small(time / 100)?,
        small(time)?,
        i32::try_from(nanoseconds).ok()?,
    );
    TimeZone::UTC.to_timestamp(civil.ok()?).ok()
}

impl Rate {
    /// `1`, `-2.5`: at most four digits before the point, and three behind it that count.
    fn parse(text: &str) -> Option<Self> {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 4) || !digits(part, 6) {
            return None;
        }
        let thousandths: i32 = format!("{part:0<3}").get(..3)?.parse().ok()?;
        let rate = sign * (whole.parse::<i32>().ok()? * 1_000 + thousandths);
        (rate != 0).then_some(Self(rate))
    }

    /// Whether it goes backwards.
    pub fn is_backwards(self) -> bool {
        self.0 < 0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.unsigned_abs() / 1_000, self.0.unsigned_abs() % 1_000);
        let part = format!("{part:03}");
        let kept = part.trim_end_matches('0');
        write!(f, "{sign}{whole}.{}", if kept.is_empty() { "0" } else { kept })
    }
}

impl Frames {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "intra" => Some(Self::Intra(None)),
            "predicted" => Some(Self::Predicted),
            "all" => Some(Self::All),
            _ => {
                let interval = text.strip_prefix("intra/")?;
                let fits = interval.len() <= 9 && interval.bytes().all(|byte| byte.is_ascii_digit());
                fits.then(|| interval.parse().ok())?.map(|it| Self::Intra(Some(it)))
            }
        }
    }
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intra(None) => f.write_str("intra"),
            Self::Intra(Some(interval)) => write!(f, "intra/{interval}"),
            Self::Predicted => f.write_str("predicted"),
            Self::All => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &[(Field, &str)]) -> Result<Playback, PlaybackError> {
        let mut fields = Fields::default();
        for (field, value) in text {
            fields.push(*field, (*value).to_owned());
        }
        Playback::of(&fields)
    }

    #[test]
    fn what_is_asked_is_written_anew() {
        let playback = asked(&[
            (Field::Range, " clock=20261126T050000.4400Z-20261126T050100Z "),
            (Field::RateControl, "no"),
            (Field::Scale, "-1"),
            (Field::Speed, "2.50"),
            (Field::Frames, "intra/4000"),
            (Field::Immediate, "yes"),
        ]);
        let playback = playback.unwrap();
        let written: Vec<_> =
            playback.fields().iter().map(|(it, value)| format!("{}: {value}", it.as_str())).collect();
        assert_eq!(
            written,
            [
                "Range: clock=20261126T050000.44Z-20261126T050100Z",
                "Rate-Control: no",
                "Scale: -1.0",
                "Speed: 2.5",
                "Frames: intra/4000",
                "Immediate: yes",
            ]
        );
        assert!(playback.is_pulled() && playback.scale.unwrap().is_backwards());
        assert_eq!(asked(&[]), Ok(Playback::default()));
        assert!(!Playback::default().is_pulled());
        for same in ["clock=20240229T235959.123456789Z-", "clock=19700101T000000Z-", "npt=0.000-"] {
            assert_eq!(Range::parse(same).unwrap().to_string(), same);
        }
    }

    #[test]
    fn what_has_no_one_meaning_is_refused() {
        let malformed = [
            (Field::Range, "clock"),
            (Field::Range, "clock="),
            (Field::Range, "clock=-20261126T050000Z"),
            (Field::Range, "clock=20261126T050000-"),
            (Field::Range, "clock=2026-11-26T05:00:00Z-"),
            (Field::Range, "clock=20261126T050000.Z-"),
            (Field::Range, "clock=20261126T050000.0123456789Z-"),
            (Field::Range, "clock=20260229T050000Z-"),
            (Field::Range, "clock=20261126T250000Z-"),
            (Field::Range, "clock=20261126T050000Z-;time=20261126T050000Z"),
            (Field::Range, "clock=20261126T050000Z-http://10.0.0.1/"),
            (Field::Range, "clock=+0261126T050000Z-"),
            (Field::RateControl, "maybe"),
            (Field::RateControl, ""),
            (Field::Scale, "0"),
            (Field::Scale, "-0.0"),
            (Field::Scale, "1e3"),
            (Field::Scale, "99999"),
            (Field::Scale, "+1"),
            (Field::Scale, "1."),
            (Field::Scale, "inf"),
            (Field::Speed, "-1.0"),
            (Field::Frames, "some"),
            (Field::Frames, "intra/"),
            (Field::Frames, "intra/-1"),
            (Field::Frames, "intra/9999999999"),
            (Field::Immediate, "1"),
        ];
        for (field, text) in malformed {
            let error = asked(&[(field, text)]).unwrap_err();
            assert_eq!(error, PlaybackError::Malformed(field.as_str()), "{text}");
            assert_eq!(error.status().code(), 400);
        }
        for other in ["npt=10-", "smpte=0:10:20-", "bytes=0-"] {
            let error = asked(&[(Field::Range, other)]).unwrap_err();
            assert_eq!(error.status().code(), 457, "{other}");
        }
    }
}
