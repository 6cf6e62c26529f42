import * as Menu from "@radix-ui/react-dropdown-menu";
import { AtSign, Copy, Flag, Link, Reply, User } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { splitQuote } from "../lib/text";
import { mention, refuse, replyTo, say } from "../state/store";
import { show } from "../state/ui";
import { useWords } from "./hooks";
import type { MenuRequest } from "./Message";

/** What can be done with a message, where it was pointed at. */
export default function MessageMenu({ request, onClose }: { request: MenuRequest; onClose: () => void }) {
  const { t } = useWords();
  const { message, x, y, link, byKey } = request;
  const content = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!byKey) return;
    // After the menu has taken the focus to itself.
    const timer = window.setTimeout(() =>
      content.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus(),
    );
    return () => clearTimeout(timer);
  }, [byKey]);
  const copy = (text: string) => {
    navigator.clipboard.writeText(text).then(() => say({ kind: "copied" }), refuse);
  };
  const item = (icon: ReactNode, label: string, action: () => void) => (
    <Menu.Item
      className="flex min-h-11 cursor-pointer items-center gap-3 rounded-ctl px-3 outline-none select-none data-[highlighted]:filled data-[highlighted]:bg-surface-3"
      onSelect={action}
    >
      {icon}
      {label}
    </Menu.Item>
  );
  return (
    <Menu.Root open onOpenChange={(open) => !open && onClose()} modal={false}>
      <Menu.Trigger asChild>
        <span aria-hidden="true" className="fixed size-0" style={{ left: x, top: y }} />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content
          ref={content}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            if (document.activeElement === document.body) byKey?.focus();
          }}
          aria-label={t("chat.menu", { name: message.username })}
          className="pop z-40 min-w-56 rounded-card border border-line bg-surface-1 p-1.5 shadow-lift"
          collisionPadding={8}
          sideOffset={4}
          align="start"
        >
          {item(<Reply size={18} />, t("chat.reply"), () => replyTo(message.username, message.text))}
          {!message.own &&
            item(<AtSign size={18} />, t("chat.mention", { name: message.username }), () =>
              mention(message.username),
            )}
          {item(<Copy size={18} />, t("chat.copy"), () => {
            // What was said, without the words that it answers.
            copy(splitQuote(message.text).rest);
          })}
          {link !== null && item(<Link size={18} />, t("invite.copy"), () => copy(link))}
          {!message.own &&
            item(<User size={18} />, t("chat.person", { name: message.username }), () =>
              show({ kind: "person", peer: message.from, message: message.id }),
            )}
          {!message.own &&
            item(<Flag size={18} />, t("chat.report"), () =>
              show({ kind: "person", peer: message.from, message: message.id, report: true }),
            )}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}
