//! What each kind of descriptor must say, and what routing takes from it.

use std::collections::HashSet;
use std::time::Duration;

use protocol::mcp::meta;
use protocol::{Category, MAX_HOLD, ParamHeaders, ToolDescriptor, UriTemplate};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::item::{DEFAULT_DEADLINE, Deadlines};
use super::kind::Kind;

/// The longest prompt name that is accepted, in characters.
const MAX_NAME: usize = 128;
/// The longest URI or template that is accepted, in bytes.
const MAX_URI: usize = 2048;
/// How long requests may take that are no tool calls.
const SHORT: Deadlines = Deadlines {
    default: DEFAULT_DEADLINE,
    max: Duration::from_mins(1),
};

/// What routing takes from a descriptor.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) key: String,
    pub(super) deadlines: Deadlines,
    pub(super) params: ParamHeaders,
    pub(super) template: Option<UriTemplate>,
}

impl Facts {
    /// Reads a descriptor that a worker of `category` announced.
    ///
    /// # Errors
    /// Why it is refused, with the value at fault.
    pub(super) fn read(kind: Kind, text: &str, category: &Category) -> Result<Self, String> {
        match kind {
            Kind::Tool => tool(text, category),
            Kind::Resource => resource(text, category),
            Kind::Template => template(text, category),
            Kind::Prompt => prompt(text, category),
        }
    }

    fn of(key: String) -> Self {
        Self {
            key,
            deadlines: SHORT,
            params: ParamHeaders::default(),
            template: None,
        }
    }
}

fn tool(text: &str, category: &Category) -> Result<Facts, String> {
    let descriptor: ToolDescriptor = read(text)?;
    let name = &descriptor.name;
    if !ToolDescriptor::name_is_valid(name) {
        return Err(format!(
            "{name:?} is not 1 to 64 characters of [A-Za-z0-9_./-]"
        ));
    }
    check_sender(descriptor.meta.category.as_ref(), category)?;
    if let Some(owner) = Category::of_core_tool(name).filter(|owner| owner != category) {
        return Err(format!("the name belongs to category {owner}"));
    }
    check_schema("inputSchema", &descriptor.input_schema)?;
    if descriptor.input_schema.get("type") != Some(&Value::from("object")) {
        return Err("the root of inputSchema must have \"type\": \"object\"".to_owned());
    }
    if let Some(schema) = &descriptor.output_schema {
        check_schema("outputSchema", schema)?;
    }
    Ok(Facts {
        deadlines: deadlines(&descriptor)?,
        params: ParamHeaders::of_schema(&descriptor.input_schema)?,
        ..Facts::of(descriptor.name)
    })
}

fn resource(text: &str, category: &Category) -> Result<Facts, String> {
    #[derive(Deserialize)]
    struct Resource {
        uri: String,
        #[serde(flatten)]
        common: Common,
    }
    let Resource { uri, common } = read(text)?;
    common.check(category)?;
    if !is_uri(&uri) {
        return Err(format!(
            "{uri:?} is not a URI with a scheme, of at most {MAX_URI} bytes"
        ));
    }
    Ok(Facts::of(uri))
}

fn template(text: &str, category: &Category) -> Result<Facts, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Template {
        uri_template: String,
        #[serde(flatten)]
        common: Common,
    }
    let Template {
        uri_template,
        common,
    } = read(text)?;
    common.check(category)?;
    if uri_template.len() > MAX_URI {
        return Err(format!("uriTemplate is longer than {MAX_URI} bytes"));
    }
    let template = UriTemplate::parse(&uri_template).map_err(|error| error.to_string())?;
    Ok(Facts {
        template: Some(template),
        ..Facts::of(uri_template)
    })
}

fn prompt(text: &str, category: &Category) -> Result<Facts, String> {
    #[derive(Deserialize)]
    struct Prompt {
        #[serde(default)]
        arguments: Vec<Argument>,
        #[serde(flatten)]
        common: Common,
    }
    #[derive(Deserialize)]
    struct Argument {
        name: String,
    }
    let Prompt { arguments, common } = read(text)?;
    common.check(category)?;
    let mut names = HashSet::new();
    if let Some(Argument { name }) = arguments.iter().find(|it| !names.insert(&it.name)) {
        return Err(format!("two arguments have the name {name:?}"));
    }
    Ok(Facts::of(common.name))
}

/// What all but tools have in common.
#[derive(Deserialize)]
struct Common {
    name: String,
    #[serde(rename = "_meta", default)]
    meta: Map<String, Value>,
}

impl Common {
    fn check(&self, category: &Category) -> Result<(), String> {
        let length = self.name.chars().count();
        if !(1..=MAX_NAME).contains(&length) || self.name.contains(char::is_control) {
            return Err(format!(
                "the name {:?} is not 1 to {MAX_NAME} characters without control characters",
                self.name
            ));
        }
        let named: Option<Category> = match self.meta.get(meta::CATEGORY) {
            None => None,
            Some(word) => Some(Category::deserialize(word).map_err(|error| error.to_string())?),
        };
        check_sender(named.as_ref(), category)
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn check_sender(named: Option<&Category>, sender: &Category) -> Result<(), String> {
    match named.filter(|named| *named != sender) {
        Some(named) => Err(format!(
            "it names category {named}, its sender is of category {sender}"
        )),
        None => Ok(()),
    }
}

/// Whether this is a URI by its shape (RFC 3986, section 3): a scheme, a colon, no white space.
fn is_uri(text: &str) -> bool {
    let has_scheme = text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    has_scheme
        && text.len() <= MAX_URI
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn check_schema(member: &str, schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err(format!("{member} must be a JSON Schema object"));
    }
    jsonschema::meta::validate(schema)
        .map_err(|error| format!("{member} is not a valid JSON Schema: {error}"))
}

fn deadlines(descriptor: &ToolDescriptor) -> Result<Deadlines, String> {
    let meta = &descriptor.meta;
    let default = meta
        .default_timeout_ms
        .map_or(DEFAULT_DEADLINE, Duration::from_millis);
    let max = meta.max_timeout_ms.map_or(default, Duration::from_millis);
    if default.is_zero() || max < default {
        return Err(format!(
            "its default deadline of {default:?} must be positive and within its maximum of {max:?}"
        ));
    }
    if max > MAX_HOLD {
        return Err(format!(
            "its maximum deadline of {max:?} is longer than the {MAX_HOLD:?} for which a worker may \
             hold a call; the tool has to split its work into several calls"
        ));
    }
    Ok(Deadlines { default, max })
}
