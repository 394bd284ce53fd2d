//! Prompts: text, arguments, a resource, a picture, and one that asks first.

use std::collections::BTreeMap;

use protocol::{mcp::method, response::InputRequired};
use worker::{CompletionRequest, Context, Prompt, PromptContent, Stop};

use super::{
    media::{embedded, image},
    rounds::{field, filled_in},
};

/// What is suggested for the first argument.
const SUGGESTIONS: [&str; 4] = ["paris", "park", "party", "test-value"];

pub(super) fn prompts() -> Vec<Prompt> {
    vec![
        Prompt::new("test_simple_prompt", async |_, _| {
            let text = "This is a simple prompt for testing.";
            Ok::<_, Stop>(PromptContent::new().user_text(text))
        })
        .description("A text."),
        Prompt::new("test_prompt_with_arguments", with_arguments)
            .description("A text with two arguments.")
            .argument("arg1", "The first one", true)
            .argument("arg2", "The second one", true)
            .complete("arg1", suggest),
        Prompt::new("test_prompt_with_embedded_resource", with_resource)
            .description("A resource and a text.")
            .argument("resourceUri", "URI of the resource", true),
        Prompt::new("test_prompt_with_image", async |_, _| {
            let picture = PromptContent::new().message("user", image());
            Ok::<_, Stop>(picture.user_text("Please analyze the image above."))
        })
        .description("A picture and a text."),
        Prompt::new("test_input_required_result_prompt", asking)
            .description("A text about what the user says when asked."),
    ]
}

type Arguments = BTreeMap<String, String>;

async fn with_arguments(_: Context, arguments: Arguments) -> Result<PromptContent, Stop> {
    let value = |name| arguments.get(name).map_or("", String::as_str);
    let (first, second) = (value("arg1"), value("arg2"));
    let text = format!("Prompt with arguments: arg1='{first}', arg2='{second}'");
    Ok(PromptContent::new().user_text(text))
}

async fn suggest(_: Context, request: CompletionRequest) -> Result<Vec<String>, Stop> {
    let fits = |word: &&str| word.starts_with(&request.value);
    let words = SUGGESTIONS.into_iter().filter(fits);
    Ok(words.map(str::to_owned).collect())
}

async fn with_resource(_: Context, mut arguments: Arguments) -> Result<PromptContent, Stop> {
    let uri = arguments.remove("resourceUri").unwrap_or_default();
    let text = "Embedded resource content for testing.";
    let resource = PromptContent::new().message("user", embedded(&uri, "text/plain", text));
    Ok(resource.user_text("Please process the embedded resource above."))
}

async fn asking(context: Context, _: Arguments) -> Result<PromptContent, Stop> {
    const KEY: &str = "user_context";
    let Some(about) = filled_in(context.inputs(), KEY, "context") else {
        let form = field("What context should the prompt use?", "context", "string");
        let asked = InputRequired::new().ask(KEY, method::ELICITATION, form);
        return Err(asked.into());
    };
    Ok(PromptContent::new().user_text(format!("Write about this: {about}")))
}
