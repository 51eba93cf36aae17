"""Two slixmpp clients over TCP join a room, see each other and chat.

    chat.py HOST PORT DOMAIN
"""

import asyncio
import sys
import xml.etree.ElementTree as ET

import slixmpp

HOST, PORT, DOMAIN = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ROOM = f"slixmpp@muc.{DOMAIN}"
FOCUS = "http://jitsi.org/protocol/focus"


class Client(slixmpp.ClientXMPP):
    """An anonymous guest that keeps what a room tells it."""

    def __init__(self):
        super().__init__(DOMAIN, "")
        self.enable_direct_tls = False
        self.enable_starttls = False
        self.enable_plaintext = True
        self.register_plugin("xep_0045")
        self.register_plugin("xep_0199")
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.started = asyncio.get_running_loop().create_future()
        self.messages = asyncio.Queue()
        self.presences = asyncio.Queue()
        self.add_event_handler("session_start", lambda _: self.started.set_result(None))
        self.add_event_handler("groupchat_message", self.messages.put_nowait)
        self.add_event_handler("groupchat_presence", self.presences.put_nowait)

    @property
    def nick(self):
        return self.boundjid.user[:8]

    async def open(self):
        self.connect(HOST, PORT)
        await self.started

    async def join(self):
        await self.plugin["xep_0045"].join_muc_wait(ROOM, self.nick, timeout=5)

    async def sees(self, nick, kind):
        while True:
            presence = await self.presences.get()
            if presence["from"].resource == nick and presence["type"] == kind:
                return

    async def hears(self, body):
        while (await self.messages.get())["body"] != body:
            pass


async def meet():
    first, second = Client(), Client()
    await first.open()
    await second.open()
    await first.plugin["xep_0199"].send_ping(DOMAIN, timeout=5)
    request = first.make_iq_set(ito=f"focus.{DOMAIN}")
    request.append(ET.Element(f"{{{FOCUS}}}conference", room=ROOM))
    answer = await request.send(timeout=5)
    ready = answer.xml.find(f"{{{FOCUS}}}conference").get("ready")
    assert ready == "true", f"the focus says ready={ready}"
    await first.join()
    await second.join()
    await first.sees(second.nick, "available")
    first.send_message(mto=ROOM, mbody="hello <&>", mtype="groupchat")
    await second.hears("hello <&>")
    second.send_message(mto=ROOM, mbody="hello back", mtype="groupchat")
    await first.hears("hello back")
    await second.disconnect()
    await first.sees(second.nick, "unavailable")
    await first.disconnect()


asyncio.run(asyncio.wait_for(meet(), 20))
print("slixmpp: two clients met over TCP")
