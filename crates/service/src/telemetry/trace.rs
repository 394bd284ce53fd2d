//! W3C Trace Context and Baggage, in and out of spans.
//!
//! A process that exports no spans passes the incoming context on unchanged: [`current`] is `None`
//! there, and the caller falls back to what it received.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// Longest `tracestate` that is passed on. At least 512 characters must be (Trace Context,
/// section 3.3.1.5).
const MAX_TRACESTATE: usize = 8192;
/// Longest `baggage` that is passed on (Baggage, section 3.3.2).
const MAX_BAGGAGE: usize = 8192;

/// The headers by which a trace crosses from one process to the next; each one well formed or
/// absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace, parent span and flags.
    pub traceparent: Option<String>,
    /// What vendors add to it; absent without a `traceparent`.
    pub tracestate: Option<String>,
    /// Names and values that travel with the request.
    pub baggage: Option<String>,
}

impl TraceContext {
    /// Keeps what is well formed and drops the rest, as the specification demands: a request with
    /// a broken trace is served, and starts a trace of its own.
    #[must_use]
    pub fn new(traceparent: Option<&str>, tracestate: Option<&str>, baggage: Option<&str>) -> Self {
        let keep = |text: &&str, most: usize| {
            !text.is_empty()
                && text.len() <= most
                && text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        };
        let traceparent = traceparent.filter(|text| is_traceparent(text));
        let tracestate =
            tracestate.filter(|text| traceparent.is_some() && keep(text, MAX_TRACESTATE));
        let baggage = baggage.filter(|text| keep(text, MAX_BAGGAGE));
        Self {
            traceparent: traceparent.map(str::to_owned),
            tracestate: tracestate.map(str::to_owned),
            baggage: baggage.map(str::to_owned),
        }
    }

    /// Whether there is nothing to pass on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// Makes the span a child of this context. Call it right after the span was created: a span that
/// was entered has its parent for good. Without an exporter it does nothing.
pub fn set_parent(span: &Span, context: &TraceContext) {
    if context.is_empty() {
        return;
    }
    let fields = [
        (TRACEPARENT, &context.traceparent),
        (TRACESTATE, &context.tracestate),
        (BAGGAGE, &context.baggage),
    ];
    let carrier: HashMap<String, String> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect();
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let parent = BaggagePropagator::new().extract_with_context(&parent, &carrier);
    // It fails if nobody exports spans or this one is filtered out: there is nothing to link then.
    let _ = span.set_parent(parent);
}

/// The context for requests made within the span; `None` if the process exports no spans or this
/// one is filtered out.
#[must_use]
pub fn current(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    BaggagePropagator::new().inject_context(&context, &mut carrier);
    let get = |name: &str| carrier.get(name).map(String::as_str);
    Some(TraceContext::new(
        get(TRACEPARENT),
        get(TRACESTATE),
        get(BAGGAGE),
    ))
}

/// Whether the text is a `traceparent` (Trace Context, section 3.2): version, trace, parent and
/// flags in lower-case hexadecimal digits, trace and parent not zero. A version above 00 may add
/// more after another hyphen; version ff is forbidden.
fn is_traceparent(text: &str) -> bool {
    let mut fields = text.splitn(5, '-');
    let mut hex = |length: usize| {
        fields.next().filter(|field| {
            field.len() == length
                && field
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (Some(version), Some(trace), Some(parent), Some(_)) = (hex(2), hex(32), hex(16), hex(2))
    else {
        return false;
    };
    let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    let more = fields.next();
    let extension_is_allowed = match more {
        None => true,
        Some(more) => {
            version != "00" && !more.is_empty() && more.bytes().all(|byte| byte.is_ascii_graphic())
        }
    };
    version != "ff" && !is_zero(trace) && !is_zero(parent) && extension_is_allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn check(traceparent: &str, expected: bool) {
        let context = TraceContext::new(Some(traceparent), None, None);
        assert_eq!(context.traceparent.is_some(), expected, "{traceparent}");
    }

    #[test]
    fn a_traceparent_that_breaks_the_grammar_is_dropped() {
        check(VALID, true);
        check(
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-next",
            true,
        );
        for text in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "0-af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-00",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn a_tracestate_without_a_traceparent_is_dropped() {
        let context = TraceContext::new(Some("broken"), Some("a=1"), Some("k=v"));
        assert_eq!(context.tracestate, None);
        assert_eq!(context.baggage.as_deref(), Some("k=v"));
    }

    #[test]
    fn line_breaks_and_oversize_are_dropped() {
        let long = "a".repeat(MAX_BAGGAGE + 1);
        for text in ["", "k=v\r\nx: y", "k=\u{e9}", &long] {
            let context = TraceContext::new(Some(VALID), Some(text), Some(text));
            assert_eq!((context.tracestate, context.baggage), (None, None));
        }
    }

    #[test]
    fn without_an_exporter_there_is_no_current_context() {
        let subscriber = tracing_subscriber::registry();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("call");
            set_parent(&span, &TraceContext::new(Some(VALID), None, None));
            assert_eq!(current(&span), None);
        });
    }
}
