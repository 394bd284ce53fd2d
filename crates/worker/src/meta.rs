use protocol::Category;
use serde::Serialize;

/// `_meta` of the descriptors of prompts and resources.
#[derive(Debug, Serialize)]
pub(crate) struct Meta<'a> {
    #[serde(rename = "opendiscovery/category")]
    pub(crate) category: &'a Category,
}
