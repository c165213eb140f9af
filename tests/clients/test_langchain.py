#!/usr/bin/env python3
"""LangChain's Anthropic and OpenAI chat models, unmodified, each against the other side's stand-in."""
from clients import *

in_venv()
# LangChain reports to nobody from here; the variable is its own switch.
os.environ["LANGSMITH_TRACING"] = "false"
from langchain_anthropic import ChatAnthropic  # noqa: E402
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402

ASK = [SystemMessage("Be brief."), HumanMessage("Count.")]


@tool
def get_weather(city: str, days: int = 1) -> str:
    """Weather of a city."""
    expect({"city": city, "days": days}, WEATHER, "what the tool was called with")
    return "rain"


def model_of(client, url, name):
    if client == "anthropic":
        return ChatAnthropic(model="claude-" + name, base_url=url, api_key="sk-any", max_retries=0, max_tokens=200, timeout=30)
    return ChatOpenAI(model="gpt-" + name, base_url=url + "/v1", api_key="sk-any", max_retries=0, max_tokens=200, timeout=30, use_responses_api=False, stream_usage=True)


def check(message, reason):
    expect(message.text, words(WORDS), "text")
    expect(message.response_metadata.get("stop_reason") or message.response_metadata.get("finish_reason"), reason, "why it stopped")
    expect_true(message.usage_metadata["output_tokens"] > 0, f"usage: {message.usage_metadata}")


def whole_of(model, messages, streamed):
    """One answer; a streamed one is the sum of its chunks, as LangChain adds them."""
    if not streamed:
        return model.invoke(messages)
    chunks = list(model.stream(messages))
    expect_true(len(chunks) > 3, f"only {len(chunks)} chunks")
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


def tools_as_sent(client, caller):
    """Arguments and ids of the calls, and the results, as the stand-in got them in its own dialect."""
    sent = caller.last()["messages"]
    if client == "anthropic":
        calls = [c for m in sent for c in m.get("tool_calls") or []]
        return [json.loads(c["function"]["arguments"]) for c in calls], [c["id"] for c in calls], [(m["tool_call_id"], json.dumps(m["content"])) for m in sent if m["role"] == "tool"]
    blocks = [b for m in sent if isinstance(m["content"], list) for b in m["content"]]
    uses = [b for b in blocks if b["type"] == "tool_use"]
    return [u["input"] for u in uses], [u["id"] for u in uses], [(b["tool_use_id"], json.dumps(b["content"])) for b in blocks if b["type"] == "tool_result"]


def round_trip(client, st, streamed, reason):
    model = model_of(client, st.serve.url, "tools-1").bind_tools([get_weather])
    talk = [HumanMessage("Weather?")]
    first = whole_of(model, talk, streamed)
    expect([(c["name"], c["args"]) for c in first.tool_calls], [("get_weather", WEATHER)], "the call")
    answer = get_weather.invoke(first.tool_calls[0])
    expect_true(isinstance(answer, ToolMessage), f"the tool's answer: {answer!r}")
    check(whole_of(model, talk + [first, answer], streamed), reason)
    inputs, ids, results = tools_as_sent(client, st.caller)
    expect(inputs, [WEATHER], "arguments as the stand-in got them")
    expect([i for i, _ in results], ids, "ids of the results")
    expect_true("rain" in results[0][1], f"the result is missing: {results}")


for how in ("refused", "cut@6"):
    for client, reason in (("anthropic", "end_turn"), ("openai", "stop")):
        with stage(how, client) as st:
            model = model_of(client, st.serve.url, "1")
            for streamed in (False, True):
                manner = "stream" if streamed else "whole"
                with claim(f"langchain_{client}_{manner}_with_lead_{st.fate}"):
                    check(whole_of(model, ASK, streamed), reason)
                with claim(f"langchain_{client}_tools_round_trip_{manner}_with_lead_{st.fate}"):
                    round_trip(client, st, streamed, reason)
            st.check_seam(f"langchain_{client}", 2)
            if client == "anthropic":
                with claim(f"langchain_runs_the_lines_that_connect_prints_with_lead_{st.fate}"):
                    said = subprocess.run([BIN, "connect", "langchain", "--url", st.serve.url, "--model", "claude-1"], capture_output=True, text=True, check=True, timeout=60)
                    os.environ["ANTHROPIC_API_KEY"] = "sk-any"
                    scope = {}
                    exec(said.stdout, scope)  # the lines of the program under test, as a user pastes them
                    check(scope["llm"].invoke(ASK), reason)
finish()
