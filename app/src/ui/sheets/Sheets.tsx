import * as Dialog from "@radix-ui/react-dialog";
import { X } from "lucide-react";
import { lazy, type ReactNode, Suspense } from "react";
import { giveFocusBack, type Sheet, show, useUi } from "../../state/ui";
import { useWords } from "../hooks";
import { IconButton } from "../kit";
import { VoiceAsk } from "./Ask";
import { LinkWarning } from "./LinkWarning";
import { PersonSheet } from "./PersonSheet";
import { Rename } from "./Rename";

const SettingsSheet = lazy(() => import("./settings/SettingsSheet"));
const PlaceSheet = lazy(() => import("./PlaceSheet"));
const Invite = lazy(() => import("./Invite"));
const Invited = lazy(() => import("./Invited"));

/** Whatever lies over the screen. */
export default function Sheets() {
  const sheet = useUi((s) => s.sheet);
  if (!sheet) return null;
  return (
    <Dialog.Root open onOpenChange={(open) => !open && show(null)}>
      <Dialog.Portal>
        <Dialog.Overlay className="veil fixed inset-0 z-40 bg-[oklch(0.1_0.02_215/0.55)]" />
        <Dialog.Content
          aria-describedby={undefined}
          // Otherwise the focus would begin at the cross.
          onOpenAutoFocus={(event) => {
            const wanted = (event.currentTarget as HTMLElement).querySelector<HTMLElement>("[data-begins]");
            if (!wanted) return;
            event.preventDefault();
            wanted.focus();
          }}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            giveFocusBack();
          }}
          className={`fixed z-50 flex flex-col overflow-hidden bg-surface-1 shadow-lift [animation:sheet_180ms_var(--ease-out)_both] focus:outline-none inset-x-0 bottom-0 max-h-[92dvh] rounded-t-card wide:inset-0 wide:m-auto wide:h-fit wide:max-h-[88dvh] wide:rounded-card ${widthOf(sheet)}`}
        >
          <Suspense fallback={<Dialog.Title className="sr-only" />}>
            <Inside sheet={sheet} />
          </Suspense>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function widthOf(sheet: Sheet): string {
  switch (sheet.kind) {
    case "settings":
    case "place":
      return "wide:w-[720px]";
    default:
      return "wide:w-[440px] mx-auto max-w-xl";
  }
}

function Inside({ sheet }: { sheet: Sheet }) {
  switch (sheet.kind) {
    case "person":
      return <PersonSheet peer={sheet.peer} message={sheet.message} report={sheet.report ?? false} />;
    case "settings":
      return <SettingsSheet section={sheet.section} />;
    case "place":
      return <PlaceSheet />;
    case "invite":
      return <Invite />;
    case "invited":
      return <Invited relay={sheet.relay} />;
    case "link":
      return <LinkWarning url={sheet.url} />;
    case "rename":
      return <Rename />;
    case "voice_ask":
      return <VoiceAsk />;
  }
}

/** Head and body of what lies over the screen. */
export function SheetFrame({
  title,
  before,
  children,
}: {
  title: ReactNode;
  before?: ReactNode;
  children: ReactNode;
}) {
  const { t } = useWords();
  return (
    <>
      <header className="flex items-center gap-3 px-5 pt-3 pb-1">
        {before}
        <Dialog.Title className="min-w-0 grow text-l font-semibold">{title}</Dialog.Title>
        <Dialog.Close asChild>
          <IconButton label={t("app.close")} className="-me-2">
            <X size={20} />
          </IconButton>
        </Dialog.Close>
      </header>
      <div className="safe-bottom min-h-0 overflow-y-auto px-5 pb-5">{children}</div>
    </>
  );
}
