//! `snmp_device_inventory`: what a device is and what it is built of.

use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Page, Summary, Tool, paginate};

use crate::device::entity::{self, Component};
use crate::device::interfaces::{self, Interface};
use crate::device::storage::{self, Storage};
use crate::device::system::{self, System};
use crate::device::{Missing, Survey, missing_text};
use crate::options::SessionOptions;
use crate::{agent, markdown};

/// Parts that are read, for progress.
const N_PARTS: u32 = 5;

/// Which device, and which page of its lists.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    #[serde(flatten)]
    options: SessionOptions,
    #[serde(flatten)]
    page: Page,
}

/// What a device is and what it is built of.
#[derive(Debug, Serialize, JsonSchema)]
struct Inventory {
    /// Address and port of the agent.
    agent: String,
    /// What the device says of itself.
    system: System,
    /// Serial number of the device: of its chassis, or else of its first part that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    /// Model of the device, found in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Maker of the device, found in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<String>,
    /// Physical parts on this page.
    components: Vec<Component>,
    /// Physical parts on all pages.
    component_count: usize,
    /// Interfaces on this page.
    interfaces: Vec<Interface>,
    /// Interfaces on all pages.
    interface_count: usize,
    /// Disks, file systems and areas of memory on this page.
    storage: Vec<Storage>,
    /// Disks, file systems and areas of memory on all pages.
    storage_count: usize,
    /// MIBs that the device lacks or could not answer for, with the reason.
    missing: Vec<Missing>,
    /// Whether one of the lists goes on after this page.
    truncated: bool,
    /// Where the next page of all lists begins; absent on the last page.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("snmp_device_inventory", run)
        .title("SNMP device inventory")
        .description(
            "Reads what a device is: name, description, location, contact, uptime, engine id; \
             its physical parts with model and serial numbers (ENTITY-MIB); its interfaces with \
             addresses (IF-MIB, IP-MIB) and its storage (HOST-RESOURCES-MIB). MIBs that the \
             device lacks are named in `missing`. Needs no session.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(10))
}

async fn run(context: Context, arguments: Arguments) -> Result<Inventory, ToolError> {
    let reader = agent::reach(&context, &arguments.options).await?;
    let mut survey = Survey::begin(&context, reader, N_PARTS).await?;
    let agent = survey.agent();
    let system = system::read(&mut survey).await;
    let components = entity::read(&mut survey).await;
    let interfaces = interfaces::read(&mut survey).await;
    let storage = storage::read(&mut survey).await;
    let is_whole =
        |component: &&Component| matches!(component.class.as_deref(), Some("chassis" | "stack"));
    let whole: Vec<&Component> = components
        .iter()
        .filter(is_whole)
        .chain(&components)
        .collect();
    let first = |field: fn(&Component) -> Option<&String>| {
        whole.iter().find_map(|component| field(component)).cloned()
    };
    let (serial, model, manufacturer) = (
        first(|component| component.serial.as_ref()),
        first(|component| component.model.as_ref()),
        first(|component| component.manufacturer.as_ref()),
    );
    let counts = (components.len(), interfaces.len(), storage.len());
    let components = paginate(&arguments.page, components)?;
    let interfaces = paginate(&arguments.page, interfaces)?;
    let storage = paginate(&arguments.page, storage)?;
    let next = components
        .next_cursor
        .or(interfaces.next_cursor)
        .or(storage.next_cursor);
    Ok(Inventory {
        agent,
        system,
        serial,
        model,
        manufacturer,
        components: components.items,
        component_count: counts.0,
        interfaces: interfaces.items,
        interface_count: counts.1,
        storage: storage.items,
        storage_count: counts.2,
        missing: survey.into_missing(),
        truncated: next.is_some(),
        next_cursor: next,
    })
}

impl Summary for Inventory {
    fn summary(&self) -> String {
        let plain = |text: Option<&String>| markdown::plain(&markdown::or_dash(text));
        let system = &self.system;
        let heads = ["part", "class", "model", "serial"];
        let parts = markdown::table(&heads, &self.components, |part| {
            let name = part.name.as_ref().or(part.description.as_ref());
            vec![
                markdown::or_dash(name),
                markdown::or_dash(part.class.as_ref()),
                markdown::or_dash(part.model.as_ref()),
                markdown::or_dash(part.serial.as_ref()),
            ]
        });
        format!(
            "{} at {}: {}\n\nModel {}, serial {}, location {}. {}, {}, {}.\n\n{parts}\n{}\n{}{}{}",
            plain(system.name.as_ref()),
            self.agent,
            plain(system.description.as_ref()),
            plain(self.model.as_ref()),
            plain(self.serial.as_ref()),
            plain(system.location.as_ref()),
            markdown::count(self.component_count, "part"),
            markdown::count(self.interface_count, "interface"),
            markdown::count(self.storage_count, "storage area"),
            interfaces::summary(&self.interfaces),
            storage::summary(&self.storage),
            missing_text(&self.missing),
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}
