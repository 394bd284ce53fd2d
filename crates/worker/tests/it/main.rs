//! What the runtime promises to tools and to callers.

mod arguments;
mod declaration;
mod lab;
mod results;
