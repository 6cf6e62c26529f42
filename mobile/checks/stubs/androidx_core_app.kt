// A part of androidx.core, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.core.app

import android.app.Notification
import android.app.PendingIntent
import android.content.Context

object NotificationCompat {
    const val CATEGORY_CALL = "call"

    class Builder(context: Context, channel: String) {
        fun setSmallIcon(icon: Int): Builder = this
        fun setContentTitle(title: CharSequence?): Builder = this
        fun setContentText(text: CharSequence?): Builder = this
        fun setContentIntent(intent: PendingIntent?): Builder = this
        fun setCategory(category: String?): Builder = this
        fun setOngoing(ongoing: Boolean): Builder = this
        fun build(): Notification = TODO()
    }
}
