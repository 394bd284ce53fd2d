//! The way of a call: one hop after the other, then the body.

use std::time::Duration;

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use hyper::http::HeaderValue;
use protocol::{ErrorCode, ToolError};
use tokio::time::Instant;
use worker::Context;

use super::body::Received;
use super::connection::Connection;
use super::exchange::{Exchange, bad_response, chain};
use super::output::{Output, Redirect, Timing, headers, text};
use super::redirect::{is_redirect, on_the_way, path, too_many};
use super::stage::{Progress, Stage};
use super::target::Target;
use super::tls::{Tls, Trust};
use crate::tools::milliseconds::milliseconds;

/// A call whose arguments are good.
pub(super) struct Call<'a> {
    pub(super) context: &'a Context,
    pub(super) trust: &'a Trust,
    pub(super) user_agent: HeaderValue,
    pub(super) max_redirect: usize,
    pub(super) max_bytes: usize,
    pub(super) start: Instant,
    pub(super) end: Instant,
}

impl Call<'_> {
    /// Follows redirects to the response that is the result.
    pub(super) async fn fetch(
        &self,
        mut target: Target,
        progress: &mut Progress<'_>,
    ) -> Result<Output, ToolError> {
        let mut redirects: Vec<Redirect> = Vec::new();
        loop {
            let hop = self.hop(&target, progress).await;
            let (exchange, connection) = hop.map_err(|error| on_the_way(error, &redirects))?;
            let Some(next) = self.next(&target, &exchange, &redirects)? else {
                let output = self.finish(&target, exchange, connection, redirects, progress);
                return output.await;
            };
            redirects.push(Redirect {
                url: target.url.to_string(),
                status: exchange.response.status().as_u16(),
                location: next.url.to_string(),
                downgraded: target.tls && !next.tls,
            });
            target = next;
        }
    }

    async fn hop(
        &self,
        target: &Target,
        progress: &mut Progress<'_>,
    ) -> Result<(Exchange, Opened), ToolError> {
        let connection =
            Connection::open(target, self.context.scope(), self.trust, self.end, progress).await?;
        let opened = Opened {
            address: connection.address.to_string(),
            tls: connection.tls,
            dns: connection.dns,
            connect: connection.connect,
            handshake: connection.handshake,
        };
        let exchange =
            Exchange::start(connection.stream, target, &self.user_agent, progress).await?;
        Ok((exchange, opened))
    }

    /// Where the response sends us; `None` if it is the result.
    fn next(
        &self,
        target: &Target,
        exchange: &Exchange,
        redirects: &[Redirect],
    ) -> Result<Option<Target>, ToolError> {
        let status = exchange.response.status();
        let location = exchange.response.headers().get(LOCATION);
        let Some(location) = location.filter(|_| self.max_redirect > 0 && is_redirect(status))
        else {
            return Ok(None);
        };
        let next = target.redirect(location).map_err(|why| {
            ToolError::new(
                ErrorCode::BadResponse,
                format!(
                    "{} answered {status}, but {why}{}",
                    target.url,
                    path(redirects)
                ),
            )
            .hint("set \"max_redirect\" to 0 to get the redirect itself")
        })?;
        let seen = next.url == target.url
            || redirects
                .iter()
                .any(|redirect| redirect.url == next.url.as_str());
        if seen || redirects.len() >= self.max_redirect {
            return Err(too_many(target, &next, self.max_redirect, seen, redirects));
        }
        Ok(Some(next))
    }

    async fn finish(
        &self,
        target: &Target,
        mut exchange: Exchange,
        opened: Opened,
        redirects: Vec<Redirect>,
        progress: &mut Progress<'_>,
    ) -> Result<Output, ToolError> {
        let declared = declared(&exchange);
        let start = Stage::Body {
            received: 0,
            declared,
        };
        progress.enter(start, format!("reading {}", target.url));
        let mut received = Received::default();
        let read = received
            .read(exchange.response.body_mut(), self.max_bytes, |n_bytes| {
                progress.received(n_bytes, declared);
            })
            .await;
        if let Err(error) = read {
            return Err(cut_short(target, &error, received.bytes.len(), declared));
        }
        let response = &exchange.response;
        let content_type = response.headers().get(CONTENT_TYPE).map(text);
        let body = received.encode(content_type.as_deref());
        Ok(Output {
            url: target.url.to_string(),
            status: response.status().as_u16(),
            reason: response.status().canonical_reason().map(str::to_owned),
            http_version: format!("{:?}", response.version()),
            address: opened.address,
            redirects,
            headers: headers(response.headers()),
            content_type,
            content_length: declared,
            body: body.text,
            encoding: body.encoding,
            charset: body.charset.map(str::to_owned),
            body_bytes: u64::try_from(received.bytes.len()).unwrap_or(u64::MAX),
            truncated: received.truncated,
            timing: Timing {
                dns_ms: milliseconds(opened.dns),
                connect_ms: milliseconds(opened.connect),
                tls_ms: opened.handshake.map(milliseconds),
                first_byte_ms: milliseconds(exchange.first_byte),
                total_ms: milliseconds(self.start.elapsed()),
            },
            tls: opened.tls,
        })
    }
}

/// What is known of a connection once its stream is in use.
struct Opened {
    address: String,
    tls: Option<Tls>,
    dns: Duration,
    connect: Duration,
    handshake: Option<Duration>,
}

fn declared(exchange: &Exchange) -> Option<u64> {
    let length = exchange.response.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn cut_short(
    target: &Target,
    error: &hyper::Error,
    n_bytes: usize,
    declared: Option<u64>,
) -> ToolError {
    if error.is_parse() {
        return bad_response(target, error);
    }
    let of = declared.map_or_else(String::new, |declared| format!(" of {declared}"));
    ToolError::new(
        ErrorCode::BadResponse,
        format!(
            "the body of {} ended after {n_bytes}{of} bytes: {}",
            target.url,
            chain(error)
        ),
    )
    .hint("the server or something on the way closed the connection early; try again")
}
